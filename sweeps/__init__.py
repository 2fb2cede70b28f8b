"""Which trials run and where their results go. Ray is imported by ``runner`` alone."""
