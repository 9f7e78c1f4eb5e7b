"""Trials: asked for one after the other, made once, kept by what they depend on, judged against the float model.

The ladder of `edgecv quantize --max-drop`, the search of `edgecv optimize` and the conversions of `edgecv zoo convert`
share what is here: executors that do tasks on this machine or on several, records that a killed run goes on from, the
loop with its limits, and the judge.
"""
