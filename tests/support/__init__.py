"""What tests share: servers, newsletters, builders. Holds no tests."""
