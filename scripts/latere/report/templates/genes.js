// Tables of the top genes.
{
  const tables = drawn.genes;
  const cell = (text, tag, isNumber) => { const c = document.createElement(tag); c.textContent = text; if (isNumber) c.className = "n"; return c; };

  function drawTop() {
    const search = $("top-search").value.trim().toLowerCase(), calledOnly = $("top-called").checked;
    for (const { name, headings, rows } of tables) {
      const shown = rows.filter(([contrast, group, gene, id, called]) =>
        contrast === $("top-contrast").value && group === $("top-group").value && (called || !calledOnly) &&
        (!search || gene.toLowerCase().includes(search) || id.toLowerCase().includes(search)));
      const head = document.createElement("tr");
      head.append(cell("gene", "th"), ...headings.map(heading => cell(heading, "th", true)), cell("called", "th", true));
      const body = shown.map(([, , gene, id, called, ...numbers]) => {
        const row = document.createElement("tr"), first = cell(gene, "td");
        if (called) row.className = "called";
        first.title = id;
        row.append(first, ...numbers.map(v => cell(digits(v), "td", true)), cell(called ? "yes" : "no", "td", true));
        return row;
      });
      if (!body.length) { const row = document.createElement("tr"), none = cell("no gene", "td"); none.colSpan = headings.length + 2; row.append(none); body.push(row); }
      const thead = document.createElement("thead"), tbody = document.createElement("tbody");
      thead.append(head); tbody.append(...body);
      $("top-" + name).replaceChildren(thead, tbody);
    }
  }

  chooseTest("top", tables.flatMap(table => table.rows.map(([contrast, group]) => ({ contrast, group }))), drawTop);
  $("top-search").addEventListener("input", drawTop);
  $("top-called").addEventListener("change", drawTop);
  drawTop();
}
