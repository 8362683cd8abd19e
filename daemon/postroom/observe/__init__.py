"""What the daemon says about itself.

`report.Report` is what the rooms tell; `log`, `metrics` and `health` are where it goes; `notify` is for systemd.
"""
