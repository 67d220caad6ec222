-- Activity of each account: tasks and events on the account itself or on anything that belongs to
-- it, in all and in the last 90 days, and when the last one was.
WITH activity AS (
    SELECT t.AccountId AS account_id, 'task' AS kind, t.ActivityDate AS day
    FROM silver.task AS t
    UNION ALL
    SELECT e.AccountId, 'event', e.ActivityDate
    FROM silver.event AS e
)
SELECT
    a.Id AS account_id,
    a.Name AS account,
    -- Tasks, in all
    count(*) FILTER (WHERE activity.kind = 'task') AS tasks,
    -- Events, in all
    count(*) FILTER (WHERE activity.kind = 'event') AS events,
    -- Tasks and events of the last 90 days
    count(*) FILTER (WHERE activity.day BETWEEN current_date - 90 AND current_date)
        AS last_90_days,
    -- Day of the last one that is not in the future
    max(activity.day) FILTER (WHERE activity.day <= current_date) AS last_activity
FROM silver.account AS a
LEFT JOIN activity ON activity.account_id = a.Id
GROUP BY a.Id, a.Name
ORDER BY last_90_days DESC, tasks DESC, account_id
