"""Suite ``planner``: planned against fixed strategies over simulated and real links."""
