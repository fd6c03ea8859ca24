-- A quality that was refused and is sent again takes the flag that said so away.
grant update (flags) on series.reading to oxbow_series;
