"""SLUG for any pure function ``apply(params, images)``: no files, no workflow, no particular model."""
