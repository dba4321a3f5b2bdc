"""The page. Only here is gradio imported."""
