"""Fails when a source file has more than 600 lines or a function more than 70.

Run by ctest; prints one line per violation. Functions of C++ and CUDA are found by their braces in
clang-formatted text: a block whose opening line ends in `{` and that is no control statement, type
or namespace. Functions of Python are found by the ast module.
"""

import ast
import pathlib
import re
import sys

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
FOLDERS = ["model", "elements", "pipeline", "schemas", "tests", "tools", "bench"]
CXX = {".h", ".cc", ".cu", ".cuh"}
NOT_A_FUNCTION = re.compile(
    r"^\s*(\}?\s*(else|if|for|while|switch|do|try|catch)\b|namespace\b|(typedef )?(struct|class|enum|union)\b"
    r"|extern\b|template\b.*(struct|class)\b|G_BEGIN_DECLS|case\b|default\b|public:|private:)"
)
LITERAL = re.compile(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'|//.*')
# What may stand between a parameter list, a capture or a constructor's initialisers and the brace.
BEFORE_BODY = re.compile(r"(\)|\]|\}|\b(const|noexcept|override|final|mutable)|->[\w:<>,*&\s]+)\s*$")


def opens_function(opening):
    """Whether the code `opening`, which ends before a brace, is the head of a function or lambda."""
    head = "(" in opening or opening.rstrip().endswith("]")
    return head and bool(BEFORE_BODY.search(opening)) and not NOT_A_FUNCTION.match(opening)


def cxx_functions(lines):
    """Yields (first line, number of lines) of each function-like block of clang-formatted C++."""
    stack, opening, first, raw = [], "", 0, False
    for number, line in enumerate(lines, 1):
        if raw or 'R"' in line:
            raw = (')"' not in line) if raw else (')"' not in line[line.index('R"') + 2 :])
            continue
        code = LITERAL.sub("", line)
        if not code.strip() or code.lstrip().startswith("#"):
            continue
        for character in code:
            if character == "{":
                stack.append((first or number, opens_function(opening)))
                opening, first = "", 0
            elif character == "}":
                begin, is_function = stack.pop() if stack else (number, False)
                if is_function:
                    yield begin, number - begin + 1
                opening, first = "", 0
            elif character == ";":
                opening, first = "", 0
            else:
                first = first or (number if character.strip() else 0)
                opening += character
        opening += " "


def python_functions(text):
    """Yields (first line, number of lines) of each function of a Python file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def violations(name, text, suffix):
    """The sentences that say what is too long in the file `name`."""
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{name}: {len(lines)} lines, at most {FILE_LINES_MAX}"
    functions = cxx_functions(lines) if suffix in CXX else python_functions(text)
    for first, length in functions:
        if length > FUNCTION_LINES_MAX:
            yield f"{name}:{first}: a function of {length} lines, at most {FUNCTION_LINES_MAX}"


def planted_violations_are_found():
    """The check checks itself on a long function of each language and a long file."""
    body = "  step();\n" * FUNCTION_LINES_MAX
    cxx = "namespace a {\nint long_one(int x,\n             int y) {\n" + body + "}\n}\n"
    python = "def long_one():\n" + "    step()\n" * FUNCTION_LINES_MAX
    return (
        len(list(violations("a.cc", cxx, ".cc"))) == 1
        and len(list(violations("a.py", python, ".py"))) == 1
        and len(list(violations("b.cc", ";\n" * (FILE_LINES_MAX + 1), ".cc"))) == 1
        and not list(violations("c.cc", "class A {\n" + body + "};\n", ".cc"))
        and not list(violations("d.cc", "const A a = {\n" + "  {b(1), c},\n" * 90 + "};\n", ".cc"))
    )


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    if not planted_violations_are_found():
        sys.exit("check_lengths.py: a planted violation was not found")
    bad, files = [], 0
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in CXX | {".py"}:
                files += 1
                name = file.relative_to(root).as_posix()
                bad.extend(violations(name, file.read_text(), file.suffix))
    print("\n".join(bad) or f"{files} files, none too long")
    sys.exit(bool(bad) or files == 0)


if __name__ == "__main__":
    main()
