"""The console: pages at `/console` on which people see and change what the API has.

A page asks the API itself, within this process and as its caller (`inner_api`). So each number, filter, bound, right
and word on a page is the API's own, and what the API refuses, the page shows as the API says it.

    routes ─▶ pages of one subject (jobs, job, queues, …) ─▶ inner_api ─▶ the API's routes
                     │
                     └─▶ page: the frame, errors as pages, sign-in, the policy of content
"""
