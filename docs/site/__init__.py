"""The documentation as a site: `make docs` builds it in build/docs from docs/*.md, the README and the commands themselves."""
