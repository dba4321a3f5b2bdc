"""The lab tabs: modules that compute plots and pictures from ldm_core's values, and panels, which import gradio."""
