"""What nbgrader's feedback says where a human set the points: the panel below still has what the checks gave."""

from __future__ import annotations

from typing import Any

import nbformat
from nbgrader.preprocessors import GetGrades


class TellingGrades(GetGrades):  # type: ignore[misc]
    """nbgrader's step that gets points from the gradebook; says above a panel which count, if those are not its own."""

    def _get_score(self, cell: Any, resources: Any) -> None:
        """See nbgrader."""
        super()._get_score(cell, resources)
        place = self.notebook_id, self.assignment_id, self.student_id
        grade = self.gradebook.find_grade(cell.metadata.nbgrader.grade_id, *place)
        if grade.manual_score not in (None, grade.auto_score) or grade.extra_credit:
            said = f"A human set {grade.score:g} of {grade.max_score:g} points."
            panel = f"<p><strong>{said}</strong> What the checks gave:</p>"
            cell.outputs.insert(0, nbformat.v4.new_output("display_data", data={"text/html": panel}))
