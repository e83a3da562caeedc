"""Streamlit helpers: state, gates, pickers, pictures. The only package that imports streamlit."""
