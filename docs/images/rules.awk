# The graph of `snakemake --rulegraph`, with a frame around the rules of each file. `make graph` calls
#   snakemake --rulegraph ... | awk -f docs/images/rules.awk rules/*.smk -
FILENAME != "-" && /^rule / {
    name = FILENAME
    gsub(/.*\/|\.smk$/, "", name)
    file[substr($2, 1, length($2) - 1)] = name
    if (name != names[files]) names[++files] = name
}
FILENAME == "-" && /label = / {
    split($0, parts, /"/)
    node = $1
    sub(/\[.*/, "", node)
    # The target, and the versions that most rules depend on, would only add arrows.
    if (parts[2] == "all" || parts[2] == "tool_versions") { left_out[node]; next }
    boxes[file[parts[2]]] = boxes[file[parts[2]]] "    " node " [label=\"" parts[2] "\"];\n"
}
FILENAME == "-" && / -> / && !($1 in left_out) && !($3 in left_out) {
    sub(/;/, "", $3)
    edges = edges "  " $1 " -> " $3 ";\n"
}
END {
    print "digraph rules {"
    print "  graph [bgcolor=white, fontname=\"sans-serif\", fontsize=13, newrank=true, nodesep=0.25];"
    print "  node [shape=box, style=\"rounded,filled\", fillcolor=white, color=\"#0072B2\"];"
    print "  node [fontname=\"sans-serif\", fontsize=12, height=0.3];"
    print "  edge [color=gray40, arrowsize=0.6];"
    for (i = 1; i <= files; i++) {
        name = names[i]
        if (!boxes[name]) continue
        print "  subgraph cluster_" name " {"
        print "    label=\"" name ".smk\"; labeljust=l; style=\"rounded,filled\"; color=\"#E8EEF4\";"
        print boxes[name] "  }"
    }
    print edges "}"
}
