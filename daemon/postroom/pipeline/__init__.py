"""The flow, one file a room: poll -> route -> dispatch -> handle -> settle -> act.

A room's input is the previous room's frozen output; no room calls back.
"""
