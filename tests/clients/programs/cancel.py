"""Submit, read and cancel a task with a client by openapi-python-client."""

# mypy: ignore-errors
import sys
from uuid import UUID

from longrun_generated import Client
from longrun_generated.api.tasks import cancel_task, get_task, submit_task
from longrun_generated.models import Accepted, Submission, Task

client = Client(base_url=sys.argv[1])
submission = Submission.from_dict({"task_type": "sleep", "input": {"seconds": 600}})
accepted = submit_task.sync(client=client, body=submission)
assert isinstance(accepted, Accepted), accepted
assert isinstance(accepted.task_id, UUID)
task = get_task.sync(accepted.task_id, client=client)
assert isinstance(task, Task), task
cancelled = cancel_task.sync(accepted.task_id, client=client)
assert isinstance(cancelled, Task), cancelled
print(cancelled.status.value)
