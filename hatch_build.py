"""The parts of the metadata that depend on where the project is published.

An index shows the README away from the repository, where relative links lead nowhere. The address
of the repository is no fact of the code: it is given when a release is built, in
``BIRKHOFF_ADDRESS``, and a build without it has no URLs and the README as it is.
"""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface

ADDRESS = "BIRKHOFF_ADDRESS"
"""Environment variable: the repository's page, such as ``https://host/owner/birkhoff``."""
LINK = re.compile(r"""(\]\(|\b(?:src|href)=")(?!https?:|\#)([^)"]+)""")
"""What begins a relative link of Markdown or HTML, and where it leads."""
PICTURES = (".png", ".svg")


def absolute_links(text: str, address: str, version: str) -> str:
    """Return ``text`` with its relative links leading to the files of the tag of ``version``."""

    def absolute(match: re.Match[str]) -> str:
        opening, path = match.groups()
        view = "raw" if path.endswith(PICTURES) else "blob"
        return f"{opening}{address}/{view}/v{version}/{path}"

    return LINK.sub(absolute, text)


class PublishedMetadata(MetadataHookInterface):
    """The README and the URLs of a build."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``readme`` and, where the address is known, ``urls``.

        Raises:
            ValueError: the address is no https URL, or has user information or a query.
        """
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = os.environ.get(ADDRESS, "").rstrip("/")
        if address:
            parts = urlsplit(address)
            if parts.scheme != "https" or "@" in parts.netloc or parts.query or not parts.path:
                raise ValueError(f"{ADDRESS} is not like https://host/owner/birkhoff")
            text = absolute_links(text, address, metadata["version"])
            metadata["urls"] = {
                "Source": address,
                "Documentation": f"{address}/tree/v{metadata['version']}/docs",
                "Changelog": f"{address}/blob/v{metadata['version']}/CHANGELOG.md",
                "Issues": f"{address}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
