"""The package that travels inside every model: raw rows become numbers, numbers become a decision.

It imports numpy, pandas, XGBoost and scikit-learn's stateless transformers, and nothing of Ratchet: its source is
logged inside each model and loaded by path, so that training and serving run the same code.
"""
