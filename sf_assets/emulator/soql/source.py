"""The text of a query, for errors that point at a place in it."""

from dataclasses import dataclass

from sf_assets.emulator.errors import ApiError

_SHOWN = 60


@dataclass(frozen=True)
class Source:
    """The text of one query."""

    text: str

    def error(self, code: str, message: str, position: int) -> ApiError:
        """An error in the caret form: the line, a caret, row and column, the message.

        Args:
            code: Salesforce's error code.
            message: What is wrong.
            position: Offset of the culprit in the text.
        """
        before = self.text[:position]
        row = before.count("\n") + 1
        start = before.rfind("\n") + 1
        end = self.text.find("\n", position)
        line = self.text[start : end if end >= 0 else None]
        column = position - start
        # Salesforce shows only the surroundings of the place in a long line.
        cut = max(0, column - _SHOWN)
        shown = line[cut : column + _SHOWN]
        caret = " " * (column - cut) + "^"
        place = f"ERROR at Row:{row}:Column:{column + 1}"
        return ApiError(400, code, f"\n{shown}\n{caret}\n{place}\n{message}")

    def malformed(self, message: str, position: int) -> ApiError:
        """A syntax error."""
        return self.error("MALFORMED_QUERY", message, position)
