"""For mkdocs: what a page links to outside of docs/ is in the repository, not on the site."""

import re


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Links such as ../config/robots to those of the repository."""
    return re.sub(r"\]\(\.\./", f"]({config.repo_url}/blob/main/", markdown)
