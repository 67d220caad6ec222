"""The Dagster side: assets, checks, schedules and sensors around the pipeline's steps.

Annotations of Dagster's decorated functions are evaluated, so no module here postpones them. Heavy
engines are imported inside the functions that need them: every run builds the definitions anew.
"""
