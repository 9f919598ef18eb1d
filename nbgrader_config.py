"""nbgrader's configuration for this course: `nbgrader autograde ps7` grades with the kit's engine.

Settings of your own (late penalties, another database, a course id) go between the two lines below.
"""

from autograder.nbgrader import configure

c = get_config()  # noqa: F821  (nbgrader puts it there)
# c.CourseDirectory.course_id = "cv101"
configure(c)
