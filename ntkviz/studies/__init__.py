"""Studies: what is studied and how, the pipeline that makes one, the store that keeps it, and jobs that outlive a page."""
