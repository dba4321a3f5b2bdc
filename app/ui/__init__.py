"""The page. Gradio is imported here and in the labs' panels alone."""
