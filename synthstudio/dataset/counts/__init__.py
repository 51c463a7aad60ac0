"""What a data set holds, counted: statistics, asked against achieved, coverage."""
