import streamlit as st

from ntkviz.ui import gates, layout, learn_text
from ntkviz.ui import learn_view as view

layout.page("Learn", "What is a kernel machine over gradients, and what does a share mean?")

with gates.guarded():
    st.header("1. A gradient is an arrow", anchor="arrows")
    view.arrows()

    st.header("2. A prediction as a sum over training points", anchor="machine")
    view.kernel_machine()

    st.header("3. On your own study", anchor="own")
    view.own_or_hint()

    st.header("Words and formulas", anchor="glossary")
    view.glossary()

    st.header("Sources", anchor="sources")
    st.markdown(learn_text.SOURCES)
    view.readings()
