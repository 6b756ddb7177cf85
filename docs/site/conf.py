"""Configuration of Sphinx, which reads the pages that pages.py puts together.

Nothing comes from another host: the theme has no fonts of its own, and what a page needs is in the site.
"""

import tasktools

project = "tasktools"
author = "the contributors of tasktools"
release = version = tasktools.__version__
html_title = f"tasktools {release}"

extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["files"]
nitpicky = True

# The anchors that GitHub gives to headings: links between the pages work there as well as here.
myst_heading_anchors = 4
myst_enable_extensions = ["deflist", "attrs_block"]

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# What is copied from a console block: the commands, without the prompt and what they print.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True
