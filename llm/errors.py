"""What goes wrong between a prompt and its plan."""

from strata.hierarchy.errors import StrataError


class LlmError(StrataError):
    """A language model could not be asked, or did not answer: one line that names the server or model, with a hint.

    Attributes:
        again: whether asking again may help (a time-out, a dropped connection, a busy server).
        answered: whether it is there and did answer, only with nothing usable (a refusal, a cut answer).
    """

    def __init__(self, message: str, *, again: bool = False, answered: bool = False) -> None:
        super().__init__(message)
        self.again, self.answered = again, answered


class AnswerError(StrataError):
    """An answer came but is no usable answer to what was asked; the message is fit to be shown to the model."""


class PlanError(StrataError):
    """A prompt has no plan: every attempt failed, or the planner does not understand it. Names the prompt."""

    def __init__(self, prompt: str, message: str) -> None:
        shown = " ".join(prompt[:400].split())
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        super().__init__(f'prompt "{shown}": {message}')
        self.prompt = prompt
