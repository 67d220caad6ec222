"""The small pieces of SOQL: fields, functions of fields, literals."""

from datetime import UTC, date, datetime, time

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.dates import is_counted_formula, is_date_formula
from sf_assets.emulator.soql.lexer import Kind, Token, tokens
from sf_assets.emulator.soql.source import Source

_MOST_DIGITS = 9


class ExpressionParser:
    """Reads the words of a query one after the other."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._tokens = tokens(source)
        self._next = 0

    @property
    def token(self) -> Token:
        """The word that comes next."""
        return self._tokens[self._next]

    @property
    def following(self) -> Token:
        """The word after the next one."""
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next word, which is then behind us."""
        token = self.token
        self._next += 1
        return token

    def unexpected(self, token: Token | None = None) -> ApiError:
        """The error for a word that may not stand where it does."""
        token = token or self.token
        text = f"'{token.text}'" if token.kind is Kind.STRING else token.text
        return self.source.malformed(f"unexpected token: '{text}'", token.position)

    def accept_word(self, *words: str) -> bool:
        """Step over the next word if it is one of these."""
        if self.token.is_word(*words):
            self._next += 1
            return True
        return False

    def expect_word(self, *words: str) -> Token:
        """The next word, which must be one of these."""
        if not self.token.is_word(*words):
            raise self.unexpected()
        return self.take()

    def accept_symbol(self, symbol: str) -> bool:
        """Step over the next word if it is this symbol."""
        if self.token.is_symbol(symbol):
            self._next += 1
            return True
        return False

    def expect_symbol(self, symbol: str) -> None:
        """Step over a symbol that must come next."""
        if not self.accept_symbol(symbol):
            raise self.unexpected()

    def name(self) -> Token:
        """The next word, which must be a name."""
        if self.token.kind is not Kind.NAME:
            raise self.unexpected()
        return self.take()

    def integer(self) -> int:
        """The next word, which must be a number without sign, point or exponent."""
        text = self.token.text
        if self.token.kind is not Kind.NUMBER or not text.isdecimal() or len(text) > _MOST_DIGITS:
            raise self.unexpected()
        return int(self.take().text)

    def expression(self) -> nodes.Expression:
        """A field or a function of fields."""
        start = self.name()
        if self.accept_symbol("("):
            return self._call(start)
        path = [start.text]
        while self.accept_symbol("."):
            path.append(self.name().text)
        return nodes.FieldRef(tuple(path), start.position)

    def _call(self, start: Token) -> nodes.Call:
        arguments = []
        if not self.accept_symbol(")"):
            arguments.append(self.expression())
            while self.accept_symbol(","):
                arguments.append(self.expression())
            self.expect_symbol(")")
        return nodes.Call(start.text.upper(), tuple(arguments), start.position)

    def value(self) -> nodes.Value:
        """A literal."""
        token = self.take()
        match token.kind:
            case Kind.STRING:
                return nodes.StringLiteral(token.text, token.position)
            case Kind.NUMBER:
                return nodes.NumberLiteral(token.text, token.position)
            case Kind.DATE | Kind.DATETIME | Kind.TIME:
                return self._moment(token)
            case Kind.NAME:
                return self._word_value(token)
            case _:
                raise self.unexpected(token)

    def _moment(self, token: Token) -> nodes.Value:
        try:
            if token.kind is Kind.DATE:
                return nodes.DateLiteral(date.fromisoformat(token.text), token.position)
            if token.kind is Kind.TIME:
                moment = time.fromisoformat(token.text).replace(tzinfo=None)
                return nodes.TimeLiteral(moment, token.position)
            utc = datetime.fromisoformat(token.text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.source.malformed(f"Invalid date: {token.text}", token.position) from None
        return nodes.DateTimeLiteral(utc, token.position)

    def _word_value(self, token: Token) -> nodes.Value:
        word = token.text.upper()
        if word in ("TRUE", "FALSE"):
            return nodes.BooleanLiteral(word == "TRUE", token.position)
        if word == "NULL":
            return nodes.NullLiteral(token.position)
        if is_date_formula(word):
            return nodes.DateFormula(word, None, token.position)
        if is_counted_formula(word) and self.accept_symbol(":"):
            return nodes.DateFormula(word, self.integer(), token.position)
        raise self.unexpected(token)
