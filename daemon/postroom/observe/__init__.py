"""What the daemon says about itself: log, metrics, health, and the line to systemd."""

from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.notify import Notifier
from postroom.observe.report import Report

__all__ = ["Health", "Metrics", "Notifier", "Report", "configure"]
