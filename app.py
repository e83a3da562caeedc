"""The dashboard: ``streamlit run app.py``."""

from ntkviz.ui.shell import run

run()
