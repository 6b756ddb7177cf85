"""The page "Tasks": queues, workers, the schedule, failed tasks and the last hour, live, with what can be done about them."""
