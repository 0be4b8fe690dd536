"""What of Python code counts: all but docstrings and messages."""

import ast

import pytest
from rewording import reword_messages

from latere.rerun.code import fingerprint
from latere.rerun.meaning import dump, parse_meaning


def meaning(*lines):
    """What counts of a function's body."""
    return dump(parse_meaning("\n    ".join(["def step(rows, log):", *lines]), "step.py"))


LOGGED = "log.info('read: %d', len(rows))"
FAULT = ["if not rows:", "    raise StudyError(path, 'has no rows', 'Add some.')"]
LOCAL = ["problem = f'has no {name}'", "raise StudyError(path, problem)"]
INNER = ["def inner():", "    raise StudyError(text)", "return inner"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([LOGGED], ["log.info('rows: %d', len(rows))"]),
        ([LOGGED], ["log.warning('rows: %s, %s', name, sorted(rows)[0].name, exc_info=True)"]),
        ([LOGGED], ["self.logger.error('\\n'.join(sorted(rows)).strip())"]),
        ([LOGGED], ["logging.getLogger(__name__).log(10, 'read')"]),
        ([LOGGED], ["print('read', name, flush=True)"]),
        ([LOGGED], ["print('read', file=sys.stderr)"]),
        ([LOGGED], ["warnings.warn(f'read {name}', stacklevel=2)"]),
        ([LOGGED], ["pass"]),
        (FAULT, [FAULT[0], "    raise StudyError(f'{path}, row {number}', OTHER)"]),
        (FAULT, [FAULT[0], "    raise StudyError(path, describe(rows), fix=find(path))"]),
        (["raise refuse('rows')"], ["raise refuse(f'row {number}', name)"]),
        (["raise OSError('cut off')"], ["raise OSError(f'cut off at {size}')"]),
        (["sys.exit('no rows')"], ["sys.exit(f'no rows in {path}')"]),
        (["faults.append(StudyError('rows'))"], ["faults.append(StudyError('row', len(rows)))"]),
        (["return ValueError(rows)"], ["return ValueError('row', name)"]),
        (["return Fault('a', 'b', code='c')"], ["return Fault(name, f'{rows}', code='c')"]),
        (["return [JobError(row) for row in rows]"], ["return [JobError() for row in rows]"]),
        (["log.info(', '.join(f'{n}!' for n in rows))"], ["log.info([f'{n}?' for n in rows])"]),
        # Local variables that messages alone read, one by way of another.
        (LOCAL, ["problem = 'has none'", "raise StudyError(path, problem)"]),
        (LOCAL, ["more = ' of them' if rows else ''", "problem = 'no' + more", LOCAL[1]]),
        (LOCAL, ["problem: str = 'no'", "problem += ' rows'", LOCAL[1]]),
        (LOCAL, ["kind, problem = 'rows', name", "raise StudyError(kind, problem)"]),
        (["text = 'a'", *INNER], ["text = f'{name}'", *INNER]),
    ],
)
def test_messages_do_not_count(old, new):
    assert meaning(*old) == meaning(*new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # The class, the condition, the cause, and that there is an error.
        (FAULT, [FAULT[0], "    raise JobError(path, 'has no rows', 'Add some.')"]),
        (FAULT, ["if len(rows) < 2:", FAULT[1]]),
        (["return Fault('a', 'b', code='c')"], ["return Fault('a', 'b', code='d')"]),
        (FAULT, [FAULT[0], "    log.error('has no rows')"]),
        (["raise StudyError('a') from error"], ["raise StudyError('a') from None"]),
        (["return ValueError('a')"], ["return TypeError('a')"]),
        # A text that is returned or stored.
        (["return f'{name}: no rows'"], ["return f'{name}: none'"]),
        (["row['reason'] = 'no rows'"], ["row['reason'] = 'none'"]),
        (["refuse('rows')"], ["refuse('row')"]),
        # What only looks like a message.
        (["logging.basicConfig(level='INFO')"], ["logging.basicConfig(level='DEBUG')"]),
        (["log.addHandler(handler)"], ["log.addHandler(other)"]),
        (["np.log(rows)"], ["np.log(row)"]),
        (["return log.info('a')"], ["return log.info('b')"]),
        (["catalog.info('a')"], ["catalog.info('b')"]),
        (["print('a', file=table)"], ["print('b', file=table)"]),
        (["print_table('a')"], ["print_table('b')"]),
        (["warn('a')"], ["warn('b')"]),
        (["print('a', **options)"], ["print('b', **options)"]),
        # Python or a caller reads these.
        (["sys.exit(0)"], ["sys.exit(1)"]),
        (["raise SystemExit(0)"], ["raise SystemExit(code)"]),
        (["raise OSError(errno.ENOENT, 'a')"], ["raise OSError(errno.EIO, 'a')"]),
        # What a message does besides.
        (["log.info('%s', train(rows))"], ["log.info('%s', rows)"]),
        (["log.info('%s', train(rows))"], ["log.info('%s', train(row))"]),
        (["log.info('%s', rows.pop())"], ["pass"]),
        (["log.info('%s', (n := 1))", "return n"], ["log.info('%s', (n := 2))", "return n"]),
        (["raise StudyError(n := 1)"], ["raise StudyError(n := 2)"]),
        (["print((yield 1))"], ["print((yield 2))"]),
        (["faults.append(StudyError(rows.pop()))"], ["faults.append(StudyError(rows))"]),
        # Variables that something else reads, or may.
        (["n = 1", "log.info(n)", "return n"], ["n = 2", "log.info(n)", "return n"]),
        (
            ["n = 1", "log.info(n)", "return lambda: n"],
            ["n = 2", "log.info(n)", "return lambda: n"],
        ),
        (
            ["n = 1", "log.info(n)", "rows.query('@n')"],
            ["n = 2", "log.info(n)", "rows.query('@n')"],
        ),
        (["n = 1", "log.info(n)", "return locals()"], ["n = 2", "log.info(n)", "return locals()"]),
        (["global n", "n = 1", "log.info(n)"], ["global n", "n = 2", "log.info(n)"]),
        (["n = 1", "rows.query('@n')"], ["n = 2", "rows.query('@n')"]),
        (["n = 1"], ["n = 2"]),
        (["n, m = 1, 2", "log.info(n)", "return m"], ["n, m = 1, 3", "log.info(n)", "return m"]),
        (["self.n = 1", "log.info(self.n)"], ["self.n = 2", "log.info(self.n)"]),
        (["n = train(rows)", "log.info(n)"], ["n = train(row)", "log.info(n)"]),
        (["n = train(rows)", "log.info(n)"], ["log.info(rows)"]),
        (["n = 1", "m = n", "log.info(n)", "return m"], ["n = 2", "m = n", "return m"]),
        (["n = rows", "n += m", "log.info(n)"], ["n = rows", "n += k", "log.info(n)"]),
        (["n = rows", "n += m", "log.info(n)"], ["n = row", "n += m", "log.info(n)"]),
        (["n = sum(1 for _ in rows)", "log.info(n)"], ["n = len(rows)", "log.info(n)"]),
        (["class A:", "    n = 1", "log.info(n)"], ["class A:", "    n = 2", "log.info(n)"]),
    ],
)
def test_all_else_counts(old, new):
    assert meaning(*old) != meaning(*new)


@pytest.mark.parametrize("used", ["raise StudyError(TEXT)", "return TEXT"])
def test_a_constant_of_a_module_counts_where_more_than_messages_read_it(tmp_path, used):
    def told(text):
        source = f"from ours import TEXT\ndef main():\n    {used}\nmain()\n"
        (tmp_path / "step.py").write_text(source)
        (tmp_path / "ours.py").write_text(f"TEXT = {text!r}\n")
        return fingerprint(tmp_path / "step.py")

    assert (told("no rows") == told("none")) == used.startswith("raise")


def test_no_message_of_the_scripts_counts(tmp_path, copy_project):
    scripts = copy_project(tmp_path) / "scripts"
    files = sorted(scripts.glob("*.py"))
    before = [fingerprint(path) for path in files]
    assert reword_messages(scripts) > 400
    assert [path.name for path in files if fingerprint(path) != before[files.index(path)]] == []


def test_a_tree_is_told_without_what_versions_of_python_add():
    told = dump(ast.parse("f(None, 0)").body[0])
    assert told == (
        "Expr(value=Call(func=Name(id='f',ctx=Load()),args=[Constant(),Constant(value=0)]))"
    )
