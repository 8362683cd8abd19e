"""How a test speaks with a client program: one JSON object a line, a verb with its arguments in, its answer out."""

import asyncio
import inspect
import json
import sys


async def serve(verbs, refusals, particulars):
    """Answer every line of standard input until it ends.

    `verbs` has a method, async or not, for each verb. Exceptions of the types `refusals` mean that Graph refused, and
    `particulars` returns the status and the error code of one. Any other ends the program.
    """
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(await _answer(verbs, refusals, particulars, **json.loads(line))) + "\n")
        sys.stdout.flush()


async def _answer(verbs, refusals, particulars, do, **arguments):
    try:
        answer = getattr(verbs, do)(**arguments)
        return {"answer": await answer if inspect.isawaitable(answer) else answer}
    except refusals as refusal:
        status, code = particulars(refusal)
        return {"status": status, "code": code}
