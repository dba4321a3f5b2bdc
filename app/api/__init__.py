"""HTTP beside the page: health, OpenAI's Images API, jobs, A1111's API, metrics."""
