"""An agent: it asks a model what to do next, calls the tool that the model names, and shows its words as they come.

    longrun dev examples/agent.py
    longrun submit ask --question "How high is the lighthouse, in feet?" --follow

No language model runs here. `model` is a few rules that speak one word at a time, so the example needs no key and
always says the same. Put your provider's client in its place; the task stays as it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Final

from pydantic import BaseModel, Field

from jobcore import AsyncContext, PermanentError, task

NOTES: Final = {
    "lighthouse": "The lighthouse was lit in 1871. It is 42 metres high.",
    "harbour": "The harbour has 3 piers, and its mouth is 90 metres wide.",
}
CALL: Final = re.compile(r"CALL (\w+) (.+)")
FEET_PER_METRE: Final = 3.28084


class Answer(BaseModel):
    """What the agent found, and how many times it asked the model."""

    answer: str
    turns: int


@task(max_attempts=5)
async def ask(
    question: str, ctx: AsyncContext, pace_s: Annotated[float, Field(ge=0)] = 0.05, most_turns: int = 8
) -> Answer:
    """Answer a question from a few notes."""
    messages = [question]
    for turn in range(1, most_turns + 1):
        # A step is stored once it is done: the next attempt neither asks the model again nor calls the tool again.
        reply = await ctx.step(f"turn {turn}", hear, ctx, messages, pace_s)
        call = CALL.fullmatch(reply)
        if call is None:
            return Answer(answer=reply, turns=turn)
        name, argument = call.groups()
        found = await ctx.step(f"tool {turn}", TOOLS[name], argument)
        ctx.log(f"{name}({argument}): {found}")
        ctx.progress(turn)
        messages.append(found)
    raise PermanentError(f"no answer after {most_turns} turns")


async def hear(ctx: AsyncContext, messages: list[str], pace_s: float) -> str:
    """The model's reply. Each word is emitted as it comes; a cancel ends the task at the `await` it is in."""
    words = []
    async for word in model(messages, pace_s):
        ctx.emit("word", word)
        words.append(word)
    return " ".join(words)


async def model(messages: list[str], pace_s: float) -> AsyncIterator[str]:
    """Stands for a language model: yields the words of its reply, one every `pace_s` seconds."""
    for word in rules(*messages).split():
        await asyncio.sleep(pace_s)
        yield word


def rules(question: str, *found: str) -> str:
    """What the model says: the call of a tool, or the answer."""
    if not found:
        topic = next((topic for topic in NOTES if topic in question.lower()), None)
        return "I have no note about that." if topic is None else f"CALL look_up {topic}"
    length = re.search(r"(\d+) metres", found[0])
    if len(found) == 1 and length is not None and "feet" in question:
        return f"CALL feet {length[1]}"
    return " ".join(found)


async def look_up(topic: str) -> str:
    """A tool that waits, as a search or a database would."""
    await asyncio.sleep(0.1)
    return NOTES[topic]


async def feet(metres: str) -> str:
    """A tool that calculates."""
    return f"That is {float(metres) * FEET_PER_METRE:.0f} feet."


TOOLS: Final[dict[str, Callable[[str], Awaitable[str]]]] = {"look_up": look_up, "feet": feet}
