"""What `postroom handlers new` starts from: a handler and its test, checked like all other code."""
