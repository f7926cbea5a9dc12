"""Settings of an nbgrader course with the assignments of Shrinking and Smoothing."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.CourseDirectory.course_id = "shrinking-and-smoothing"
# An empty answer must not stop the cells below it.
c.ClearSolutions.code_stub = {"python": "# your code here"}
c.ClearSolutions.text_stub = "*Write your answer here.*"
# Chapter 7 fits a model to 73,421 ratings.
c.ExecutePreprocessor.timeout = 300
