-- Cases by priority and month of creation: how long they took to close (median and 90th percentile,
-- in hours), and how many are still open.
SELECT
    date_trunc('month', c.CreatedDate)::DATE AS month,
    coalesce(c.Priority, '(none)') AS priority,
    count(*) AS opened,
    count(*) FILTER (WHERE c.IsClosed) AS closed,
    count(*) FILTER (WHERE NOT c.IsClosed) AS backlog,
    count(*) FILTER (WHERE c.IsEscalated) AS escalated,
    round(median(date_diff('minute', c.CreatedDate, c.ClosedDate)) / 60, 1)
        AS median_hours_to_close,
    round(quantile_cont(date_diff('minute', c.CreatedDate, c.ClosedDate), 0.9) / 60, 1)
        AS p90_hours_to_close
FROM silver.case AS c
GROUP BY 1, 2
ORDER BY month DESC, priority
