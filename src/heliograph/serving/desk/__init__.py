"""The questions and photos of one session, as tables of states and events. No I/O."""
