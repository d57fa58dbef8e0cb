"""Joules of a device for one answered question: modelled from radio and board constants, or measured by a meter.

::

    processor seconds (measured) --+
    bytes (counted) --radio--> packets, airtime --+--> Estimate: terms of constant x quantity --> low, centre, high
    constants.toml: value, unit, source ----------+                                   `--> order that survives the band
    RAPL, NVML counters --> Measured, which no sum takes together with what is modelled

Standard library only. "Energy" of visual tokens (``retained_energy``, the controller ``energy``) is something else.
"""
