"""Three notebooks from one chapter: for students, with solutions, and for teachers (nbgrader)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import nbformat
from nbformat import NotebookNode

import mixedsmooth as ms

from .chapter import Chapter, Code, Exercise, Text

# Points that a teacher gives: for the words beside an answer that is checked, and for an exercise
# without a check, for its words and for its code.
WORDS_POINTS = 1
UNCHECKED_POINTS = 2
WRITE_HERE = "*Write your answer here.*"
CODE_HERE = "# your code"


@dataclass(frozen=True)
class Course:
    """What all notebooks of a book share.

    Attributes
    ----------
    title : str
        Title of the book.
    url : str
        Address of the published book, ending in a slash; empty if there is none.
    install : str
        How to get the library where it is missing, in Markdown.
    """

    title: str
    url: str
    install: str


@dataclass(frozen=True)
class Graded:
    """What nbgrader is to know about a cell (its metadata, schema 3)."""

    grade: bool
    solution: bool
    locked: bool
    points: int | None = None


READ_ONLY = Graded(grade=False, solution=False, locked=True)
AUTOGRADED_ANSWER = Graded(grade=False, solution=True, locked=False)


class Sheet:
    """A notebook that is being written."""

    def __init__(self, chapter: Chapter, kind: str) -> None:
        self.cells: list[NotebookNode] = []
        self.chapter, self.kind = chapter, kind
        self.seen: Counter[str] = Counter()

    def add(self, piece: Text | Code, key: str = "", graded: Graded | None = None) -> None:
        """Add a cell; its id is the key, else made from what it says."""
        if not key:
            key = sha256(piece.source.encode()).hexdigest()[:12]
            self.seen[key] += 1
            if self.seen[key] > 1:
                key += f"-{self.seen[key]}"
        if isinstance(piece, Text):
            cell = nbformat.v4.new_markdown_cell(piece.source, id=key)
        else:
            cell = nbformat.v4.new_code_cell(piece.source, id=key)
            if piece.tags:
                cell.metadata["tags"] = list(piece.tags)
        if graded is not None:
            cell.metadata["nbgrader"] = {
                "schema_version": 3,
                "grade_id": key,
                "grade": graded.grade,
                "solution": graded.solution,
                "locked": graded.locked,
                "task": False,
            } | ({} if graded.points is None else {"points": graded.points})
        self.cells.append(cell)

    def notebook(self) -> NotebookNode:
        """Finish the notebook."""
        metadata = {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            "mixedsmooth": {
                "chapter": self.chapter.name,
                "kind": self.kind,
                "version": ms.__version__,
            },
        }
        return nbformat.v4.new_notebook(cells=self.cells, metadata=metadata)


def student_notebook(chapter: Chapter, course: Course) -> NotebookNode:
    """Leave the solutions out, and give every exercise cells to write in and its check."""
    sheet = Sheet(chapter, "student")
    sheet.add(head(chapter, course, "student notebook"), "head")
    for piece in chapter.pieces:
        if not isinstance(piece, Exercise):
            sheet.add(piece)
            continue
        for part in piece.task:
            sheet.add(part)
        if piece.check is not None:
            sheet.add(Code(unanswered(piece)), f"{piece.key}-answer")
            sheet.add(Code(piece.check.call), f"{piece.key}-check")
        else:
            if any(isinstance(part, Code) for part in piece.solution):
                sheet.add(Code(CODE_HERE), f"{piece.key}-code")
            sheet.add(Text(WRITE_HERE), f"{piece.key}-words")
    return sheet.notebook()


def solution_notebook(chapter: Chapter, course: Course) -> NotebookNode:
    """Write the whole chapter, each solution below its exercise."""
    sheet = Sheet(chapter, "solutions")
    sheet.add(head(chapter, course, "notebook with solutions"), "head")
    for piece in chapter.pieces:
        if not isinstance(piece, Exercise):
            sheet.add(piece)
            continue
        first, *rest = piece.solution
        title = f"**Solution of exercise {piece.number}**"
        begin = (
            [Text(f"{title}\n\n{first.source}")]
            if isinstance(first, Text)
            else [Text(title), first]
        )
        for part in [*piece.task, *begin, *rest]:
            sheet.add(part)
    return sheet.notebook()


def instructor_notebook(chapter: Chapter, course: Course) -> NotebookNode:
    """Write the source of an assignment for nbgrader.

    The chapter's code and the tasks are read-only. The code of a solution is between nbgrader's
    marks. An answer that is computed has a test, with the points of its exercise; all else that a
    solution says, in words or as code without a check, is graded by hand.
    """
    sheet = Sheet(chapter, "instructor")
    sheet.add(head(chapter, course, "assignment"), "head", READ_ONLY)
    for piece in chapter.pieces:
        if isinstance(piece, Text):
            sheet.add(piece)
        elif isinstance(piece, Code):
            sheet.add(piece, graded=READ_ONLY)
        else:
            assign(sheet, piece)
    return sheet.notebook()


def assign(sheet: Sheet, exercise: Exercise) -> None:
    """Add the cells of one exercise to an assignment."""
    key, check = exercise.key, exercise.check
    for i, part in enumerate(exercise.task):
        sheet.add(part, f"{key}-task-{i}" if i else f"{key}-task", READ_ONLY)
    code = "\n\n".join(source_of(exercise.solution, Code))
    words = "\n\n".join(source_of(exercise.solution, Text))
    if check is not None:
        code = code.removesuffix(check.call).rstrip()
        answer = Code(f"{unanswered(exercise)}\n{marked('SOLUTION', code)}")
        points = ms.exercises.EXERCISES[exercise.number].points
        sheet.add(answer, f"{key}-answer", AUTOGRADED_ANSWER)
        test = Code(f"{check.call}\n{marked('HIDDEN TESTS', hidden_test(exercise))}")
        sheet.add(test, f"{key}-test", Graded(True, False, True, points))
    elif code:
        answer = Code(f"{CODE_HERE}\n{marked('SOLUTION', code)}")
        sheet.add(answer, f"{key}-code", by_hand(UNCHECKED_POINTS))
    if words:
        points = UNCHECKED_POINTS if check is None else WORDS_POINTS
        sheet.add(Text(words), f"{key}-words", by_hand(points))


def by_hand(points: int) -> Graded:
    """Describe an answer that a teacher grades."""
    return Graded(grade=True, solution=True, locked=False, points=points)


def source_of(parts: Iterable[Text | Code], kind: type) -> list[str]:
    """Take the sources of the cells of one kind."""
    return [part.source for part in parts if isinstance(part, kind)]


def unanswered(exercise: Exercise) -> str:
    """Write the line that a student completes."""
    assert exercise.check is not None
    return f"{exercise.check.answer} = ...  # your answer"


def marked(name: str, code: str) -> str:
    """Put code between nbgrader's marks."""
    return f"### BEGIN {name}\n{code}\n### END {name}"


def hidden_test(exercise: Exercise) -> str:
    """Write the test that decides; it does not rely on names that a student may have changed."""
    assert exercise.check is not None
    return (
        "from mixedsmooth import exercises as _exercises\n\n"
        f'_outcome = _exercises.check("{exercise.number}", {exercise.check.answer})\n'
        "assert _outcome.right, _outcome.message"
    )


def head(chapter: Chapter, course: Course, kind: str) -> Text:
    """Write the first cell."""
    page = f"{chapter.name}.html"
    where = f"[{page}]({course.url}{page})" if course.url else f"`{page}`"
    return Text(
        f"# {chapter.number}. {chapter.title}\n\n"
        f"Chapter {chapter.number} of *{course.title}*, version {ms.__version__}: {kind}."
        " Run the cells in order, from the top."
        f" The same text with all results is the page {where} of the book.\n\n"
        f"{course.install}"
    )
