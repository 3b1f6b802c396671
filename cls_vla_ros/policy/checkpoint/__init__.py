"""A checkpoint's files: loading, processors, what calibration writes, random ones."""
