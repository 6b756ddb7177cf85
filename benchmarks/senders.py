"""The scripts that send many calls in other ways than `manage.py enqueue --from`: each is run as a process of its own.

A script is called with how many calls it is to send, and what stands in WORDS. It sends one call first, so that
connections are there and modules compiled, then the others, and prints how long these took, in seconds.
"""

from __future__ import annotations

#: The first argument of the calls. All have as many digits, so that all messages are equally long.
FIRST = 1_000_000

#: Calls that a script sends ahead of the time that it takes.
AHEAD = 1

#: Values in one LPUSH, jobs in one pipeline of rq, publishes in one batch of kombu, as many as ours sends at once.
BATCH = 500

_DJANGO = """\
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from shop.tasks import add
"""

_TIMED = f"""

number = int(sys.argv[1])
send(range({FIRST}, {FIRST} + {AHEAD}))
begin = time.perf_counter()
send(range({FIRST} + {AHEAD}, {FIRST} + {AHEAD} + number))
print(time.perf_counter() - begin)
"""

DELAY = f"""\
{_DJANGO}

def send(numbers):
    for n in numbers:
        add.delay(n, n)
{_TIMED}"""

#: Hooks in a tasks module: Celery calls each of them once a message.
RECEIVER = """\
from celery.signals import before_task_publish


@before_task_publish.connect
def receive(headers, **_):
    headers["tenant"] = "seven"
"""

BASE = """\
from celery import Task


class Base(Task):
    def apply_async(self, args=None, kwargs=None, **options):
        return super().apply_async(args, kwargs, **options)
"""

#: Nobody asks for results here: without them Celery does not subscribe to each.
DELAY_WITHOUT_RESULT = f"""\
{_DJANGO}

def send(numbers):
    for n in numbers:
        add.apply_async((n, n), ignore_result=True)
{_TIMED}"""

GROUP = f"""\
{_DJANGO}
from celery import group


def send(numbers):
    group(add.s(n, n) for n in numbers).apply_async()
{_TIMED}"""

#: A transport that does not batch would send each call at once, without a word.
KOMBU_BATCH = f"""\
{_DJANGO}

def send(numbers):
    with add.app.producer_or_acquire() as producer:
        if not producer.supports_batch_publish:
            sys.exit("kombu does not batch on this connection.")
        with producer.batch(max_size={BATCH}):
            for n in numbers:
                add.apply_async((n, n), producer=producer)
{_TIMED}"""

#: As rq's pages on enqueue_many have it, with a pipeline. It is called with the socket and the database as well.
RQ = f"""\
import sys
import time

from redis import Redis
from rq import Queue

from shop_jobs import add

queue = Queue(connection=Redis(unix_socket_path=sys.argv[2], db=int(sys.argv[3])))


def send(numbers):
    for at in range(0, len(numbers), {BATCH}):
        jobs = [Queue.prepare_data(add, args=(n, n)) for n in numbers[at : at + {BATCH}]]
        with queue.connection.pipeline() as pipe:
            queue.enqueue_many(jobs, pipeline=pipe)
            pipe.execute()
{_TIMED}"""

#: rq takes no function of __main__.
RQ_JOBS = """\
def add(x, y):
    return x + y
"""

#: It is called with the socket and a file that holds one message as well.
BARE = f"""\
{_DJANGO}
from redis import Redis

client = Redis(unix_socket_path=sys.argv[2])
message = open(sys.argv[3], "rb").read()


def send(numbers):
    for at in range(0, len(numbers), {BATCH}):
        client.lpush("celery", *[message] * len(numbers[at : at + {BATCH}]))
{_TIMED}"""

#: Runs the command line behind its first word, a file for what cProfile finds. Starting is not in there.
PROFILED = """\
import cProfile
import os
import sys

import django
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

profile = cProfile.Profile()
profile.runcall(execute_from_command_line, ["manage.py", *sys.argv[2:]])
profile.dump_stats(sys.argv[1])
"""
