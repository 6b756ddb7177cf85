"""The supervisor as a process: python .../tasktools/supervisor/__main__.py PLAN.

PLAN is JSON: the fields of site.SitePlan for the kind "site", else those of reloader.Plan.
"""

import os
import sys

if __name__ == "__main__":
    # It is run by its path, so that modules of the project or of this folder do not hide those of the standard library.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

    import json

    from tasktools.supervisor.loop import leave
    from tasktools.supervisor.output import Notes, descriptor_of

    fields = json.loads(sys.argv[1])
    if fields["kind"] == "site":
        from tasktools.supervisor.site import SitePlan, run_site

        del fields["kind"]
        site = SitePlan(**fields)
        leave(run_site(site, Notes(descriptor_of(sys.stderr), color=site.color_stderr)))

    from tasktools.supervisor.beat import BeatReloader
    from tasktools.supervisor.reloader import Plan
    from tasktools.supervisor.watcher import Files, watch
    from tasktools.supervisor.worker import WorkerReloader

    plan = Plan(**fields)
    files = Files(plan.roots, plan.ignore, plan.include)
    reloader = {"worker": WorkerReloader, "beat": BeatReloader}[plan.kind](
        plan, files, Notes(descriptor_of(sys.stderr), color=plan.color)
    )
    watch(files, plan.since, reloader.tell_changed, lambda text: reloader.call(lambda: reloader.say(text)))
    leave(reloader.run())
