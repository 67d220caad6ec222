-- Cases by priority and month of creation: how long they took to close (median and 90th percentile,
-- in hours), and how many are still open.
SELECT
    -- First day of the month of creation
    date_trunc('month', c.CreatedDate)::DATE AS month,
    -- Priority, or (none)
    coalesce(c.Priority, '(none)') AS priority,
    -- Cases created in the month
    count(*) AS opened,
    -- Those of them that are closed
    count(*) FILTER (WHERE c.IsClosed) AS closed,
    -- Those that are open
    count(*) FILTER (WHERE NOT c.IsClosed) AS backlog,
    -- Those that are escalated
    count(*) FILTER (WHERE c.IsEscalated) AS escalated,
    -- Median of the hours from creation to closing
    round((median(date_diff('minute', c.CreatedDate, c.ClosedDate)) / 60)::DECIMAL(18, 6), 1)::DOUBLE
        AS median_hours_to_close,
    -- Hours within which 90 % of those closed were
    round(
        (quantile_cont(date_diff('minute', c.CreatedDate, c.ClosedDate), 0.9) / 60)::DECIMAL(18, 6), 1
    )::DOUBLE
        AS p90_hours_to_close
FROM silver.case AS c
GROUP BY 1, 2
ORDER BY month DESC, priority
