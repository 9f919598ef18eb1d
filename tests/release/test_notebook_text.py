"""The notebook's own words: what its table promises, and that its folded questions can be opened and closed."""

import re

from autograder.grading.samples import solved


def test_the_table_of_points_is_the_assignment_own(assignment):
    """The first cell's table gives each part the points that assignment.toml gives it."""
    text = solved(assignment).cells[0].source
    told = {part: sum(map(float, points.split("+"))) for part, points in re.findall(r"\| \((\w)\) \|.*?\| ([\d +]+) \|", text)}
    given: dict[str, float] = {}
    for exercise in assignment.exercises:
        part = exercise.id[3]
        given[part] = given.get(part, 0.0) + exercise.points
    assert told == given


def test_folded_answers_are_closed(assignment):
    """Each question that opens is closed again, with an empty line behind its summary, which Markdown needs."""
    cells = [cell.source for cell in solved(assignment).cells if "<details>" in cell.source]
    assert len(cells) >= 6
    for text in cells:
        assert text.count("<details><summary>") == text.count("</summary>\n\n") == text.count("</details>")
