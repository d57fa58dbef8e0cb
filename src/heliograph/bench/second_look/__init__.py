"""Suite ``second-look``: is the answer legible in what has arrived, by a frozen reader of real photos."""
